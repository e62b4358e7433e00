"""Ratings: whether somebody would keep a face, in the file of `nijigan rate`."""

import json
import threading
from dataclasses import replace

from fastapi import APIRouter

from nijigan.errors import UserError
from nijigan.generator.face import Face
from nijigan.generator.generator import Generator
from nijigan.rate.store import NAME, VoteStore
from nijigan.studio.problems import StorageError, documented
from nijigan.studio.requests import ModelRatings, Rating, Ratings
from nijigan.studio.studio import Studio


class RatingBook:
    """The ratings in a folder. The folder and its file are created for the first rating.

    A rating is on disk before its request is answered. Methods may be called from any thread.

    Args:
        studio: its models, and its folder.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._store: VoteStore | None = None
        self._turn = threading.Lock()

    def rate(self, rating: Rating) -> Ratings:
        """Store a rating; it replaces an earlier one of the same face, however its attributes were requested.

        Raises:
            UserError: no model of the studio made the face.
            StorageError: the rating cannot be stored.
        """
        face, model = rating.face.face(), self._studio.model(rating.face.weights)
        model.generator.check_psi(face.psi)
        face = _in_one_form(face, model.generator)
        latent = model.generator.header.latent
        face.latents(latent.size, latent.prior)
        try:
            self._opened().cast(face.to_json(), model.name, rating.good)
        except UserError as error:
            raise StorageError(str(error)) from error
        return self.counts()

    def counts(self) -> Ratings:
        """Count the faces that were rated, and those of the studio's models."""
        try:
            exists = (self._studio.ratings / NAME).exists()
            votes = self._opened().votes() if self._store or exists else {}
        except UserError as error:
            raise StorageError(str(error)) from error
        by_weights: dict[str, list[bool]] = {}
        for (text, repeat), good in votes.items():
            if not repeat:
                by_weights.setdefault(_weights(text), []).append(good)
        rows = [(model, by_weights.get(model.weights, [])) for model in self._studio.models]
        models = [
            ModelRatings(model=model.name, weights=model.weights, rated=len(found), good=sum(found))
            for model, found in rows
        ]
        return Ratings(rated=sum(map(len, by_weights.values())), good=sum(map(sum, by_weights.values())), models=models)

    def _opened(self) -> VoteStore:
        with self._turn:
            if self._store is None:
                self._store = VoteStore(self._studio.ratings)
            return self._store


def make_router(studio: Studio) -> APIRouter:
    """The address of ratings."""
    router = APIRouter(prefix="/v1", tags=["ratings"])
    book = RatingBook(studio)

    @router.post("/ratings", responses=documented(400, 408, 413, 415, 503))
    async def rate(rating: Rating) -> Ratings:
        """Store whether somebody would keep a face; answer with all counts."""
        return await studio.aside(book.rate, rating)

    @router.get("/ratings", responses=documented(503))
    async def counts() -> Ratings:
        """Count the ratings."""
        return await studio.aside(book.counts)

    return router


def _in_one_form(face: Face, generator: Generator) -> Face:
    """The record that stands for all records of a face: with every attribute, or with none if all are as sampled."""
    codes = generator.codes([face.seed], **generator.attributes_of(face))[0]
    sampled = (generator.codes([face.seed])[0] == codes).all()
    return replace(face, attributes={} if sampled else generator.values(codes))


def _weights(text: str) -> str:
    """The weights of a rated face; empty for a real one."""
    found = json.loads(text)
    return str(found.get("weights", "")) if isinstance(found, dict) else ""
