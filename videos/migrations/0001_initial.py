import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import pgvector.django.bit
import pgvector.django.halfvec
import pgvector.django.indexes
import pgvector.django.vector
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        # the extension vector is there
        ('gallery', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Video',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(blank=True, help_text='where it was fetched from; null = upload', max_length=2048, null=True)),
                ('data_id', models.CharField(blank=True, help_text="the client's id", max_length=255, null=True)),
                ('md5', models.CharField(max_length=32, unique=True)),
                ('sha1', models.CharField(max_length=40)),
                ('sha256', models.CharField(db_index=True, max_length=64)),
                ('format', models.CharField(max_length=8)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('bytes', models.PositiveBigIntegerField()),
                ('remark', models.TextField(blank=True, null=True)),
                ('meta', models.JSONField(blank=True, null=True)),
                ('original', models.FileField(blank=True, max_length=200, upload_to='')),
                ('thumbnail', models.FileField(blank=True, max_length=200, upload_to='')),
                ('keep_original', models.BooleanField(default=True)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('ready', 'Ready'), ('failed', 'Failed'), ('quarantined', 'Quarantined')], default='pending', max_length=12)),
                ('failure', models.TextField(blank=True, help_text='why it failed, as a sentence')),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('added_by', models.CharField(help_text='who added it: user:…, key:…, open', max_length=160)),
                ('uploader', models.CharField(blank=True, help_text="client's text", max_length=255, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('duration_ms', models.PositiveBigIntegerField(help_text='null until it is known', null=True)),
                ('fps', models.FloatField(help_text='frames a second, as its header says', null=True)),
                ('progress', models.PositiveSmallIntegerField(default=0, help_text='of indexing, per cent')),
                ('proxy', models.FileField(blank=True, help_text='a small MP4 with the same times, made by us', max_length=200, upload_to='')),
                ('reindex', models.BooleanField(default=False, help_text='to be indexed anew; found by its old frames until then')),
                ('reindex_failure', models.TextField(blank=True, help_text='why it could not be indexed anew, as a sentence')),
            ],
            options={
                'ordering': ['-id'],
                'abstract': False,
                'indexes': [models.Index(fields=['data_id'], name='video_data_id_prefix', opclasses=['text_pattern_ops']), django.contrib.postgres.indexes.HashIndex(fields=['url'], name='video_url_hash'), django.contrib.postgres.indexes.GinIndex(fields=['meta'], name='video_meta_gin', opclasses=['jsonb_path_ops']), models.Index(fields=['status', 'id'], name='video_status_id')],
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'ready', 'failed', 'quarantined'])), name='video_status_known'), models.CheckConstraint(condition=models.Q(('status', 'failed'), ('failure', ''), _connector='XOR'), name='video_failure_iff_failed'), models.CheckConstraint(condition=models.Q(('progress__lte', 100)), name='video_progress_per_cent'), models.CheckConstraint(condition=models.Q(('reindex', False), ('status__in', ['ready', 'quarantined']), _connector='OR'), name='video_reindex_of_indexed')],
            },
        ),
        migrations.CreateModel(
            name='Frame',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('view', models.CharField(default='full', max_length=16)),
                ('version', models.CharField(max_length=160)),
                ('haar', pgvector.django.vector.VectorField(dimensions=16, help_text='imgsmlr signature', null=True)),
                ('pdq', pgvector.django.bit.BitField(length=256, null=True)),
                ('pdq_quality', models.SmallIntegerField(help_text='0 to 100', null=True)),
                ('cnn', pgvector.django.halfvec.HalfVectorField(dimensions=512, help_text='unit length', null=True)),
                ('clip', pgvector.django.halfvec.HalfVectorField(help_text='unit length', null=True)),
                ('t0', models.PositiveIntegerField(help_text='ms, of the first frame that looks like this')),
                ('t1', models.PositiveIntegerField(help_text='ms, of the last one')),
                ('weight', models.FloatField(help_text='0 = never votes, else its rarity up to 1')),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='frames', to='videos.video')),
            ],
            options={
                'default_permissions': (),
                'indexes': [pgvector.django.indexes.HnswIndex(condition=models.Q(('version', 'pixels-1+copy-1'), ('weight__gt', 0)), ef_construction=128, fields=['cnn'], m=16, name='frame_cnn_hnsw', opclasses=['halfvec_cosine_ops'])],
                'constraints': [models.UniqueConstraint(fields=('item', 't0', 'view', 'version'), name='frame_item_t0_view_version'), models.CheckConstraint(condition=models.Q(('t0__lte', models.F('t1'))), name='frame_t0_before_t1'), models.CheckConstraint(condition=models.Q(('weight__gte', 0), ('weight__lte', 1)), name='frame_weight_0_to_1')],
            },
        ),
    ]
