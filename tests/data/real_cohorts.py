"""Declarations for public image sets, ready to use: fill in `{images}`, the folder that holds the sets."""

PEDIATRIC_PNEUMONIA = """\
# Paediatric chest films: pneumonia or normal (Kermany et al. 2018).
domain: chest
root: {images}/chest_pediatric_pneumonia
table: manifest.csv
columns: {{image: file, patient: patient_id}}
labels:
  pneumonia: {{column: finding, positive: [bacteria, virus], negative: [normal]}}
shifts:
  adult-films: {nih_adult}
"""

NIH_ADULT = """\
# Films of adults (ChestX-ray14) mapped to the paediatric label. Five of them say pneumonia; `infiltration`,
# an opacity of the airspace in that set's words, stands in for it.
domain: chest
root: {images}/chest_nih64
table: manifest.csv
columns:
  image: file
  patient: patient_id
  attributes:
    sex: sex
    age: age
    view: view
labels:
  pneumonia: infiltration
"""

NIH = """\
# ChestX-ray14 sample: three findings that 64 x 64 pixels can show; films taken lying as a shift.
domain: chest
root: {images}/chest_nih64
table: manifest.csv
columns:
  image: file
  patient: patient_id
  attributes:
    sex: sex
    age: age
labels:
  atelectasis: atelectasis
  cardiomegaly: cardiomegaly
  effusion: effusion
splits: {{train: 0.5, validation: 0.15, id: 0.35, seed: 1}}
shifts:
  ap: {{column: view, equals: [AP]}}
"""

COVID = """\
# COVID-19 or another pneumonia (Cohen et al. 2020); supine films as a shift.
domain: chest
root: {images}/chest_covid
table: manifest.csv
columns:
  image: file
  patient: patient_id
  attributes:
    sex: sex
    age: age
    view: view
labels:
  covid: label_covid
splits: {{train: 0.5, validation: 0.15, id: 0.35, seed: 1}}
"""

MIAS = """\
# Film mammograms: malignant, or benign and normal (Suckling et al. 1994).
domain: mammography
root: {images}/mammo_mias
table: manifest.csv
columns:
  image: file
  patient: patient_id
  attributes:
    density:
      column: density
      values: {{fatty: [F], fatty-glandular: [G], dense: [D]}}
    side: side
labels:
  malignant: {{column: severity, positive: [M], negative: [N, B]}}
splits: {{train: 0.5, validation: 0.15, id: 0.35}}
"""

HAM10000 = """\
# Dermatoscopic images: malignant or not (Tschandl et al. 2018).
# Patients are not published, so lesions stand in for them.
domain: dermatology
root: {images}/derm_ham10000
table: manifest.csv
columns:
  image: file
  cluster: lesion_id
  attributes:
    sex: {{column: sex, missing: [unknown]}}
    age: age
labels:
  malignant: {{column: dx, positive: [mel, bcc, akiec], negative: [nv, bkl, df, vasc]}}
shifts:
  clinical-photographs: {pad_ufes}
  ph2: {ph2}
"""

PAD_UFES = """\
# Photographs by smartphone: malignant or not (Pacheco et al. 2020).
domain: dermatology
root: {images}/derm_pad_ufes
table: manifest.csv
columns:
  image: file
  patient: patient_id
  attributes:
    sex: {{column: gender, values: {{female: [FEMALE], male: [MALE]}}}}
    age: age
    skin_type: {{column: fitspatrick, values: {{I-II: [1, 2], III-IV: [3, 4], V-VI: [5, 6]}}}}
labels:
  malignant: {{column: diagnostic, positive: [BCC, SCC, MEL], negative: [ACK, NEV, SEK]}}
"""

PH2 = """\
# Dermatoscopic images of another hospital: melanoma or naevus (Mendonca et al. 2013).
# Patients are not published; every image is of another lesion.
domain: dermatology
root: {images}/derm_ph2
table: manifest.csv
columns: {{image: file, cluster: image_id}}
labels:
  malignant: {{column: dx, positive: [melanoma], negative: [common_nevus, atypical_nevus]}}
"""
