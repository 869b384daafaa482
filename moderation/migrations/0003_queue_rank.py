"""The order of the queue as a generated column, with an index over what is undecided."""

import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.math
from django.db import migrations, models

UNDECIDED = ["open", "voted", "conflict", "escalated", "appealed"]
WEIGHT = django.db.models.expressions.CombinedExpression(
    django.db.models.functions.comparison.Cast("severity", models.FloatField()),
    "*",
    django.db.models.functions.comparison.Greatest(models.F("confidence"), models.Value(0.01)),
)
DAYS = models.Func(
    models.F("created_at"),
    output_field=models.FloatField(),
    template="(date_part('epoch', %(expressions)s - to_timestamp(0)) / 86400)",
)


class Migration(migrations.Migration):
    dependencies = [("moderation", "0002_audit_trigger")]
    operations = [
        migrations.RemoveIndex("reviewcase", "case_queue"),
        migrations.RemoveIndex("reviewcase", "case_cluster"),
        migrations.AddField(
            "reviewcase",
            "rank",
            models.GeneratedField(
                db_persist=True,
                expression=django.db.models.expressions.CombinedExpression(
                    django.db.models.expressions.CombinedExpression(
                        django.db.models.functions.math.Ln(WEIGHT),
                        "/",
                        models.Value(0.6931471805599453),
                    ),
                    "-",
                    DAYS,
                ),
                output_field=models.FloatField(),
            ),
        ),
        migrations.AddIndex(
            "reviewcase",
            models.Index(
                fields=["-rank", "id"],
                condition=models.Q(state__in=UNDECIDED),
                name="case_queue",
            ),
        ),
        migrations.AddIndex(
            "reviewcase", models.Index(fields=["cluster", "-rank"], name="case_cluster")
        ),
    ]
