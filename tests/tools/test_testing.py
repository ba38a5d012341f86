"""`python -m rotomdb.testing`: the commands that docs/durability.md names."""

from __future__ import annotations

from click.testing import CliRunner

from rotomdb.testing.__main__ import main


def test_power_loss_prints_states_by_step_and_ends_well() -> None:
    result = CliRunner().invoke(main, ["power-loss", "--states", "300"])
    assert result.exit_code == 0, result.output
    assert "write increment" in result.output
    assert "Losses: 0" in result.output


def test_faults_prints_the_calls_that_failed_and_ends_well() -> None:
    result = CliRunner().invoke(main, ["faults", "--every", "200"])
    assert result.exit_code == 0, result.output
    assert "Problems: 0" in result.output


def test_a_short_storm_ends_well() -> None:
    result = CliRunner().invoke(main, ["storm", "--minutes", "0.01", "--crowd", "200"])
    assert result.exit_code == 0, result.output
    assert "Problems: 0" in result.output
