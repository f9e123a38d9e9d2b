import numpy as np

from medbench.data.phantoms import sheet as module
from medbench.data.phantoms.cohort import open_phantoms
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


def test_a_sheet_shows_the_cohorts_first_images_in_their_order():
    picture = np.asarray(sheet("chest"))
    films = open_phantoms("chest", patients=10).images("id", 128)[:, :, :, 0]
    for film, left in zip(films, range(0, COLUMNS * 128, 128), strict=False):
        assert np.array_equal(picture[14:142, left : left + 128, 0], film)
    second_row = picture[14 + 156 : 14 + 156 + 128, :128, 0]
    assert np.array_equal(second_row, films[COLUMNS])


def test_the_command_writes_one_sheet_a_domain(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "DOMAINS", ("chest",))
    monkeypatch.setattr("sys.argv", ["sheet", str(tmp_path / "new")])
    main()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["chest.png"]
