"""What the server counts, in the form that Prometheus reads."""

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The counters of one app. Each app has its own, so that several can be in one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "nijigan_requests", "Requests answered, by route and status.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "nijigan_request_seconds",
            "Seconds from a request's head to the end of its answer, by route.",
            ("route",),
            registry=registry,
            buckets=_SECONDS,
        )
        self.faces = Counter("nijigan_faces", "Faces generated, by model.", ("model",), registry=registry)
        self.batches = Histogram(
            "nijigan_batch_faces",
            "Faces that were generated together, by model.",
            ("model",),
            registry=registry,
            buckets=_FACES,
        )
        self.queue = Gauge("nijigan_queue_requests", "Requests that wait or are being drawn.", registry=registry)
        self.pixels = Gauge("nijigan_queue_pixels", "Pixels that these requests ask for.", registry=registry)

    def response(self) -> Response:
        """All counters as text."""
        return Response(generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
