from django.db import migrations

MAKE = """
CREATE FUNCTION imgsmlr_tell_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('imgsmlr_tasks', NEW.key);
    RETURN NULL;
END
$$;
CREATE TRIGGER imgsmlr_tell_of_task AFTER INSERT ON django_q_ormq
    FOR EACH ROW EXECUTE FUNCTION imgsmlr_tell_of_task();
"""
REMOVE = """
DROP TRIGGER imgsmlr_tell_of_task ON django_q_ormq;
DROP FUNCTION imgsmlr_tell_of_task();
"""


class Migration(migrations.Migration):
    """Workers sleep until they are told of a task. Others see its row at the same moment."""

    dependencies = [
        ("imgsmlr_site", "0003_workercluster"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [migrations.RunSQL(MAKE, REMOVE)]
