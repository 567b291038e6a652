"""Orders on masters, gains of detectors, and the way there from older tables."""

from __future__ import annotations

from sqlalchemy import select, text

from spica.registry import lifecycle
from spica.registry.door import Door
from spica.registry.migrations.versions import v0004_queue
from spica.registry.rows import CalibrationOrder
from spica.registry.schema import detectors
from spica.registry.store import Registry
from tests.registry.samples import amplifiers, exposure, ingest

ORDER = CalibrationOrder("use", "demo", "2026-11-20", "flat", "r", 3, "2026-11-21", "2026-11-25", "me")


def test_orders_are_kept_until_they_are_withdrawn(registry: Registry) -> None:
    number = registry.order_masters(ORDER)
    every = registry.order_masters(
        CalibrationOrder("copy", "demo", "2026-11-20", "", "", None, "2026-12-24", "2026-12-24")
    )
    first, second = registry.master_orders()
    assert (first.id, second.id) == (number, every)
    assert (first.action, first.camera, first.block, first.name, first.band, first.detector) == (
        *("use", "demo", "2026-11-20", "flat", "r", 3),
    )
    assert (first.first, first.last, first.who, first.withdrawn) == ("2026-11-21", "2026-11-25", "me", None)
    assert (second.detector, second.name) == (None, "")
    assert registry.withdraw_order(number)
    assert not registry.withdraw_order(number)
    assert [each.id for each in registry.master_orders()] == [every]
    assert len(registry.master_orders(withdrawn=True)) == 2


def test_a_detector_s_row_tells_its_gain(registry: Registry) -> None:
    registry.add(ingest(exposure(1), (0, 1)))
    mean = sum(amplifier.gain for amplifier in amplifiers()) / len(amplifiers())
    assert {row.gain for row in registry.detector_rows()} == {mean}


def test_a_registry_of_version_1_gets_its_gains(empty_url: str) -> None:
    Registry.create(empty_url).close()
    with Registry.open(empty_url) as registry:
        registry.add(ingest(exposure(1), (0, 1)))
    door = Door(empty_url)
    with door.write() as connection:
        connection.execute(text("DROP INDEX ix_productions_state_priority"))
        for name in (*v0004_queue.WORDS, *v0004_queue.PLAIN, *v0004_queue.WHOLE, "priority", "begun"):
            connection.execute(text(f"ALTER TABLE productions DROP COLUMN {name}"))
        connection.execute(text("DROP TABLE footprints"))
        connection.execute(text("DROP TABLE calibration_orders"))
        connection.execute(text("ALTER TABLE detectors DROP COLUMN gain"))
        connection.execute(text("UPDATE meta SET value = '1' WHERE name = 'schema'"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    door.close()
    lifecycle.upgrade(empty_url)
    with Registry.open(empty_url) as registry:
        assert {row.gain for row in registry.detector_rows()} == {1.5}
        assert registry.master_orders() == []
        with registry._door.read() as connection:
            assert len(connection.execute(select(detectors.c.gain)).all()) == 2
