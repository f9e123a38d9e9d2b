"""A second source, whose `id` is a shift of the first."""

from tests.data.public.ward import source

SOURCE = source("annex", title="Annex films", own_shifts=(), policies=())
