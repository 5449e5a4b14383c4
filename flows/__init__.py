"""From YouTube ads and their comments to a release, and from a release to a trained model."""

from flows.telemetry import SWITCHES, turn_off_telemetry

turn_off_telemetry(SWITCHES)
