"""The trigger that keeps the audit as it was written."""

from django.db import migrations

TRIGGER = """
CREATE FUNCTION moderation_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are never changed or removed';
END $$;
CREATE TRIGGER auditevent_append_only
    BEFORE UPDATE OR DELETE ON moderation_auditevent
    FOR EACH ROW EXECUTE FUNCTION moderation_refuse_change();
"""
UNDONE = """
DROP TRIGGER auditevent_append_only ON moderation_auditevent;
DROP FUNCTION moderation_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0001_initial")]
    operations = [migrations.RunSQL(TRIGGER, UNDONE)]
