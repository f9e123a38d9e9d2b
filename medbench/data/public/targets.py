"""Labels that public sources of one domain have in common, so that each can be another's shift."""

from medbench.spec.runs import Target

CHEST = Target(
    kind="multi-label", classes=("atelectasis", "cardiomegaly", "consolidation", "edema", "effusion")
)
"""The five findings of CheXpert's competition, which ChestX-ray14 has too."""

MAMMOGRAPHY = Target(kind="single-label", classes=("not malignant", "malignant"))

DERMATOLOGY = Target(
    kind="single-label",
    classes=("melanoma", "nevus", "basal-cell-carcinoma", "actinic-or-squamous", "other"),
)
"""What ISIC 2019 and PAD-UFES-20 both tell apart: actinic keratosis, squamous cell carcinoma and Bowen's
disease are one class, and all that only one of the two names is `other`."""
