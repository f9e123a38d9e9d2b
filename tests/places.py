"""A place for remote stores whose every operation a test can watch, stop, or let fail halfway."""

import uuid

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Watched(MemoryFileSystem):
    """Files in memory, at `watched://`; every operation is told to `before` first, which may raise.

    What is being written when it raises is left there by half. Names in a folder are remembered until
    `invalidate_cache`, as those of object stores are.
    """

    protocol = "watched"
    store = {}  # noqa: RUF012 (shared by all instances, as the place is by all machines)
    pseudo_dirs = [""]  # noqa: RUF012
    before = staticmethod(lambda operation, path: None)
    listed = {}  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("watched://"))

    def ls(self, path, detail=True, **kwargs):
        if detail:
            type(self).before("ls", path)
            return super().ls(path, detail=detail, **kwargs)
        if path not in self.listed:
            type(self).before("ls", path)
            self.listed[path] = super().ls(path, detail=False, **kwargs)
        return self.listed[path]

    def invalidate_cache(self, path=None):
        self.listed.clear()

    def cat_file(self, path, **kwargs):
        type(self).before("cat_file", path)
        return super().cat_file(path, **kwargs)

    def get_file(self, rpath, lpath, **kwargs):
        there = self.store.get(self._strip_protocol(rpath))
        if there is None:
            raise FileNotFoundError(rpath)
        with open(lpath, "wb") as file:  # noqa: PTH123
            file.write(there.getvalue()[:20])
        type(self).before("get_file", rpath)
        super().get_file(rpath, lpath, **kwargs)

    def put_file(self, lpath, rpath, **kwargs):
        with open(lpath, "rb") as file:  # noqa: PTH123
            self.pipe_file(rpath, file.read(), operation="put_file")

    def pipe_file(self, path, value, mode="overwrite", operation="pipe_file"):
        if mode == "create" and self.exists(path):
            raise FileExistsError(path)
        super().pipe_file(path, value[: len(value) // 2])
        type(self).before(operation, path)
        super().pipe_file(path, value)


fsspec.register_implementation("watched", Watched, clobber=True)


class Operations:
    """Counts operations on `watched://`, and does something before the n-th one."""

    def __init__(self, at=None, do=None):
        self.done = []
        self.at, self.do = at, do

    def __enter__(self):
        Watched.before = staticmethod(self._before)
        return self

    def __exit__(self, *_):
        Watched.before = staticmethod(lambda operation, path: None)

    def _before(self, operation, path):
        self.done.append((operation, path))
        if self.at is not None and len(self.done) >= self.at and self.do is not None:
            self.do()

    @property
    def reached(self):
        return self.at is not None and len(self.done) >= self.at


def new(protocol="watched"):
    """A URL at which nothing is."""
    return f"{protocol}://{uuid.uuid4().hex}"


def unreachable():
    """What a back end raises when the network is gone."""
    raise ConnectionError("the network is gone")
