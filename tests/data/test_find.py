"""Finding and downloading data sets, against a server of our own."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recbole_samrec.data import find
from recbole_samrec.data.find import download_dataset, find_dataset, list_datasets, read_recbole_links
from recbole_samrec.utils.errors import DataError

INTER = "user_id:token\titem_id:token\n1\t2\n"


def archive(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, text in members.items():
            packed.writestr(name, text)
    return buffer.getvalue()


GOOD = archive({"Toy_Set.inter": INTER, "Toy_Set.item": "item_id:token\n2\n", "README.md": "about"})
ANSWERS = {
    "/Toy_Set.zip": (200, GOOD),
    "/folder.zip": (200, archive({"toy/": "", "toy/toy.inter": INTER})),
    "/denied.zip": (403, b"<Error><Code>AccessDenied</Code></Error>"),
    "/page.zip": (200, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    "/cut.zip": (200, GOOD[:-30]),
    "/broken.zip": (200, GOOD.replace(b"1\t2\n", b"1\t3\n", 1)),
    "/up.zip": (200, archive({"toy.inter": INTER, "../evil.txt": "x"})),
    "/root.zip": (200, archive({"/evil.inter": INTER})),
    "/drive.zip": (200, archive({"C:\\evil.inter": INTER})),
    "/nothing.zip": (200, archive({"readme.txt": "x"})),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/hanging.zip":
            self.server.released.wait(10)
            return
        status, body = ANSWERS.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (100 if self.path == "/short.zip" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.released = threading.Event()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def recbole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like RecBole's package, with links to three sets and ml-100k inside."""
    root = tmp_path / "recbole"
    (root / "properties" / "dataset").mkdir(parents=True)
    links = "toy: http://127.0.0.1:9/toy.zip\nml-1m: http://127.0.0.1:9/ml-1m.zip\n\n# sessions\nyelp: http://x/y.zip\n"
    (root / "properties" / "dataset" / "url.yaml").write_text(links)
    (root / "dataset_example" / "ml-100k").mkdir(parents=True)
    (root / "dataset_example" / "ml-100k" / "ml-100k.inter").write_text(INTER)
    monkeypatch.setattr(find, "_find_recbole_folder", lambda: root)
    return root


def put(data_path: Path, name: str, file: str) -> Path:
    (data_path / name).mkdir(parents=True)
    (data_path / name / file).write_text(INTER)
    return data_path / name


class TestFind:
    def test_ml_100k_is_recboles_own_even_beside_another(self, recbole, tmp_path):
        put(tmp_path / "data", "ml-100k", "ml-100k.inter")
        assert find_dataset("ml-100k", tmp_path / "data") == recbole / "dataset_example" / "ml-100k"

    @pytest.mark.parametrize("file", ["mine.inter", "mine.train.inter"])
    def test_a_folder_with_interactions(self, recbole, tmp_path, file):
        folder = put(tmp_path / "data", "mine", file)
        assert find_dataset("mine", str(tmp_path / "data")) == folder

    def test_an_unknown_name_lists_the_nearest(self, recbole, tmp_path):
        put(tmp_path / "data", "my-films", "my-films.inter")
        with pytest.raises(DataError, match=r"ml1m is not in .*ml1m and is unknown \(nearest: ml-1m"):
            find_dataset("ml1m", tmp_path / "data")
        with pytest.raises(DataError, match="nearest: my-films"):
            find_dataset("My_Film", tmp_path / "data")

    def test_a_known_name_without_a_link_gets_its_recipe(self, recbole, tmp_path):
        with pytest.raises(DataError, match=r"-m recbole_samrec data Amazon_Books path/to/reviews_Books_5\.json\.gz"):
            find_dataset("Amazon_Books", tmp_path)
        with pytest.raises(DataError, match=r"GroupLens .*python -m recbole_samrec data ml-20m path/to/ml-20m\.zip"):
            find_dataset("ml-20m", tmp_path)

    def test_nothing_is_fetched_unless_allowed(self, recbole, tmp_path, monkeypatch):
        monkeypatch.setattr(find, "download_dataset", lambda *_: pytest.fail("fetched"))
        with pytest.raises(DataError, match="toy is not in"):
            find_dataset("toy", tmp_path, fetch=False)

    def test_a_linked_set_is_fetched(self, recbole, tmp_path, monkeypatch):
        monkeypatch.setattr(find, "download_dataset", lambda name, path: Path(path) / name)
        assert find_dataset("toy", tmp_path) == tmp_path / "toy"

    def test_available(self, recbole, tmp_path):
        put(tmp_path / "data", "mine", "mine.inter")
        put(tmp_path / "data", "parts", "parts.train.inter")
        put(tmp_path / "data", "other", "readme.txt")
        found = list_datasets(tmp_path / "data")
        assert [(entry.name, entry.size, entry.files) for entry in found] == [
            ("mine", len(INTER), ("mine.inter",)),
            ("ml-100k", len(INTER), ("ml-100k.inter",)),
            ("parts", len(INTER), ("parts.train.inter",)),
        ]
        assert [entry.name for entry in list_datasets(tmp_path / "nowhere")] == ["ml-100k"]

    def test_links(self, recbole):
        assert list(read_recbole_links()) == ["toy", "ml-1m", "yelp"]

    def test_without_recbole(self, tmp_path, monkeypatch):
        monkeypatch.setattr(find, "_find_recbole_folder", lambda: None)
        assert read_recbole_links() == {} and list_datasets(tmp_path) == []

    def test_the_installed_recbole(self, tmp_path):
        pytest.importorskip("yaml")
        if find._find_recbole_folder() is None:
            pytest.skip("RecBole is not installed")
        import yaml

        path = find._find_recbole_folder() / "properties" / "dataset" / "url.yaml"
        assert read_recbole_links() == yaml.safe_load(path.read_text())
        assert (find_dataset("ml-100k", tmp_path) / "ml-100k.inter").is_file()


class TestDownload:
    def test_files_take_the_sets_name(self, server, tmp_path):
        folder = download_dataset("toy", tmp_path / "data", url=f"{server}/Toy_Set.zip")
        assert folder == tmp_path / "data" / "toy"
        assert sorted(path.name for path in folder.iterdir()) == ["README.md", "toy.inter", "toy.item"]
        assert (folder / "toy.inter").read_text() == INTER

    def test_members_in_a_folder(self, server, tmp_path):
        assert (download_dataset("toy", tmp_path, url=f"{server}/folder.zip") / "toy.inter").is_file()

    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            ("denied.zip", "HTTP 403 Forbidden"),
            ("gone.zip", "HTTP 404 Not Found"),
            ("page.zip", "not a complete zip archive"),
            ("cut.zip", "not a complete zip archive"),
            ("broken.zip", "not a complete zip archive"),
            ("up.zip", r"'\.\./evil\.txt' is outside"),
            ("root.zip", r"'/evil\.inter' is outside"),
            ("drive.zip", r"is outside"),
            ("nothing.zip", r"does not contain ml-1m\.inter"),
        ],
    )
    def test_a_failure_leaves_nothing_and_names_the_command(self, server, tmp_path, file, reason):
        with pytest.raises(DataError, match=reason) as caught:
            download_dataset("ml-1m", tmp_path / "data", url=f"{server}/{file}")
        message = str(caught.value)
        assert message.startswith(f"ml-1m is not in {tmp_path / 'data' / 'ml-1m'} and the download failed (")
        assert "get ml-1m.zip from GroupLens" in message
        assert message.endswith(", then run: python -m recbole_samrec data ml-1m path/to/ml-1m.zip")
        assert "\n" not in message
        assert list((tmp_path / "data").iterdir()) == [] and list(tmp_path.glob("**/evil*")) == []

    def test_a_hanging_server(self, server, tmp_path):
        with pytest.raises(DataError, match=r"the download failed \(no response in time\)"):
            download_dataset("toy", tmp_path, timeout=0.3, url=f"{server}/hanging.zip")

    def test_no_connection(self, recbole, tmp_path):
        with pytest.raises(DataError, match=r"the download failed \(Connection refused\).*--user COLUMN"):
            download_dataset("toy", tmp_path)

    def test_no_link(self, recbole, tmp_path):
        with pytest.raises(DataError, match="RecBole has no link for it"):
            download_dataset("mine", tmp_path)
