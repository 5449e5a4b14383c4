"""From YouTube ads and their comments to a release, and from a release to a trained model."""

from fgmfn.telemetry import HUB_SWITCHES, turn_off_telemetry

SWITCHES = {
    **HUB_SWITCHES,
    # Prefect's server: a heartbeat every ten minutes.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    # yt-dlp starts deno
    "DENO_NO_UPDATE_CHECK": "1",
}
"""Off switches of the libraries that report their use; set here, before the first of them is imported."""

turn_off_telemetry(SWITCHES)
