import pgvector.django.halfvec
import pgvector.django.indexes
import pgvector.django.vector
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('gallery', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='imagedetail',
            name='local_features',
            field=models.BinaryField(null=True),
        ),
        migrations.RunSQL(
            # Compressing them again would take time and gain nothing.
            "ALTER TABLE gallery_imagedetail ALTER COLUMN local_features SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            model_name='imagefingerprint',
            name='cnn',
            field=pgvector.django.halfvec.HalfVectorField(dimensions=512, help_text='unit length', null=True),
        ),
        migrations.AlterField(
            model_name='imagedetail',
            name='pattern',
            field=pgvector.django.vector.VectorField(dimensions=4096, null=True),
        ),
        migrations.AddIndex(
            model_name='imagefingerprint',
            index=pgvector.django.indexes.HnswIndex(condition=models.Q(('version', 'copy-1')), ef_construction=128, fields=['cnn'], m=16, name='imagefingerprint_cnn_hnsw', opclasses=['halfvec_cosine_ops']),
        ),
    ]
