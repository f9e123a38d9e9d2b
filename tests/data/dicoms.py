"""DICOM files made in memory from given pixels; the encoders are pydicom's, GDCM's and Pillow's."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

UNCOMPRESSED = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big endian": "1.2.840.10008.1.2.2",
}
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS = "1.2.840.10008.1.2.4.90"
J2K = "1.2.840.10008.1.2.4.91"
RLE = "1.2.840.10008.1.2.5"


def dataset(pixels: np.ndarray, *, bits: int = 0, uid: str = UNCOMPRESSED["explicit"], **tags: Any):
    """A secondary capture with native pixels (h, w) or (h, w, 3); `bits` stored, by default all."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(uid)
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["medbench"])
    big = uid == UNCOMPRESSED["big endian"]
    encoding = {"is_implicit_VR": uid == UNCOMPRESSED["implicit"], "is_little_endian": not big}
    ds = FileDataset(None, {}, file_meta=meta, preamble=bytes(128), **encoding)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    ds.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def written(ds) -> bytes:
    """The dataset as a file."""
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def file_of(pixels: np.ndarray, **options: Any) -> bytes:
    """A file with native pixels; options are those of `dataset`."""
    return written(dataset(pixels, **options))


def compressed(
    pixels: np.ndarray, uid: str, *, bits: int = 0, encoder: dict[str, Any] | None = None, **tags: Any
):
    """A file compressed by pydicom's encoders (RLE, JPEG-LS, JPEG 2000)."""
    ds = dataset(pixels, bits=bits, **tags)
    ds.compress(uid, generate_instance_uid=False, **(encoder or {}))
    return written(ds)


def by_gdcm(pixels: np.ndarray, uid: str, folder: Path, *, bits: int = 0, **tags: Any) -> bytes:
    """A file compressed by GDCM, which can write the lossless kinds of JPEG."""
    import gdcm

    (folder / "native.dcm").write_bytes(file_of(pixels, bits=bits, **tags))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "native.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(uid)))
    change.SetInput(reader.GetImage())
    assert change.Change(), "GDCM does not write this"
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / "compressed.dcm"))
    assert writer.Write()
    return (folder / "compressed.dcm").read_bytes()


def with_frame(ds, uid: str, frame: bytes) -> bytes:
    """The dataset's file, its pixels replaced by a compressed frame."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    ds.file_meta.TransferSyntaxUID = UID(uid)
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    return written(ds)


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    """Baseline JPEG by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, **options)
    return file.getvalue()
