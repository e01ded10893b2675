"""Keep a control plane up, for several test runs to share."""

import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.servers.kube_control_plane import find_assets, run_kubernetes


def _main() -> None:
    """Keep a control plane up until it is interrupted or terminated."""
    assets = find_assets()
    if assets is None:
        sys.exit("KUBEBUILDER_ASSETS is not set: run `make kube`, and the line that it ends with")
    # Both ways of asking it to end leave nothing behind, also before it is up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as folder,
        run_kubernetes(Path(folder), assets) as kubeconfig,
    ):
        sys.stdout.write(f"export KUBECONFIG={kubeconfig} AGENTD_TEST_KUBECONFIG={kubeconfig}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    _main()
