"""``whyscore keys``: made, listed, rotated and revoked; shown once."""

import json
import re

KEY = re.compile(r"wsk_[a-z0-9]{10}_[\w-]{43}\n")


def test_the_life_of_a_key(whyscore):
    code, out, err = whyscore("keys", "create", "crm", "--scope", "read", "--scope", "tag", "--days", "30")
    assert code == 0
    assert KEY.fullmatch(out)
    assert "nobody can show it again" in err
    key_id = out.split("_")[1]
    code, listed, _ = whyscore("keys", "list")
    assert code == 0
    assert key_id in listed
    assert "read, tag" in listed
    assert out.strip() not in listed
    code, rotated, _ = whyscore("keys", "rotate", key_id, "--grace-hours", "1", "--json")
    assert json.loads(rotated)["key"].startswith(f"wsk_{key_id}_")
    assert json.loads(rotated)["previous_until"] is not None
    assert whyscore("keys", "revoke", key_id)[0] == 0
    (record,) = json.loads(whyscore("keys", "list", "--json")[1])
    assert (record["key_id"], record["status"]) == (key_id, "revoked")
    assert "hash" not in str(record)
    code, _, err = whyscore("keys", "rotate", key_id)
    assert code == 2
    assert "no longer good" in err


def test_wrong_use_is_a_sentence(whyscore):
    for arguments, words in [
        (("create", "crm", "--scope", "root"), "read, tag, write, admin"),
        (("create", "crm", "--scope", "read", "--rate", "often"), "600/minute"),
        (("revoke", "aaaaaaaaaa"), "no key of this id"),
    ]:
        code, out, err = whyscore("keys", *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert "Traceback" not in err


def test_the_certificate_and_its_key_go_together(whyscore):
    code, _, err = whyscore("serve", "--tls-cert", "cert.pem")
    assert code == 2
    assert "go together" in err
