from django.db import migrations


def forget_schedule(apps, schema_editor):
    """The cluster ``lists`` of each host renews its own index, so no host needs the queue for it."""
    schedules = apps.get_model("django_q", "Schedule").objects
    schedules.filter(func="moderation.tasks.refresh_hash_index").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0021_fingerprint_transactions"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    # Without it again, ``migrate`` of an earlier version makes the schedule.
    operations = [migrations.RunPython(forget_schedule, migrations.RunPython.noop)]
