from medbench.store import Store


def test_a_campaign_of_the_same_names_remembers_what_it_trained_until_it_ends(tmp_path):
    store, names = Store(tmp_path), frozenset({"chest/one/id", "chest/two/id"})
    store.campaign(names).add("0" * 20)
    assert "0" * 20 in store.campaign(names)
    assert "1" * 20 not in store.campaign(names)
    assert "0" * 20 not in store.campaign(names | {"chest/three/id"})
    store.campaign(names).end()
    assert "0" * 20 not in store.campaign(names)
