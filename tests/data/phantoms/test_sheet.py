import numpy as np

from medbench.data.phantoms import sheet as module
from medbench.data.phantoms.sheet import COLUMNS, main, sheet


def test_a_sheet_shows_every_evaluation_set_of_the_domain():
    picture = np.asarray(sheet("dermatology"))
    height, width, channels = picture.shape
    assert width == COLUMNS * 128
    assert height % 3 == 0
    assert channels == 3
    thirds = picture.reshape(3, height // 3, width, 3).astype(int)
    assert np.abs(thirds[0] - thirds[1]).mean() > 5
    assert np.abs(thirds[0] - thirds[2]).mean() > 5


def test_the_command_writes_one_sheet_a_domain(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "DOMAINS", ("chest",))
    monkeypatch.setattr("sys.argv", ["sheet", str(tmp_path / "new")])
    main()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["chest.png"]
