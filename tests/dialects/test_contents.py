import pytest

from kirogw.conversation import Image, Text
from kirogw.dialects.contents import content, picture, text_part
from kirogw.errors import BadRequest

KNOWN = {"text": text_part, "twice": lambda part, at: (Text(at), Text(at)), "mark": lambda part, at: ()}


@pytest.mark.parametrize(
    ("box", "found"),
    [
        pytest.param({}, (), id="absent"),
        pytest.param({"said": None}, (), id="null"),
        pytest.param({"said": ""}, (), id="empty"),
        pytest.param({"said": "Hi"}, (Text("Hi"),), id="string"),
        pytest.param({"said": []}, (), id="no parts"),
        pytest.param({"said": [{"type": "text", "text": "Hi"}, {"type": "text", "text": ""}]}, (Text("Hi"),), id="parts"),
        pytest.param({"said": [{"type": "mark"}, {"type": "twice"}]}, (Text("at.said.1."),) * 2, id="any number of parts"),
    ],
)
def test_content(box, found):
    assert content(box, "said", "at.", KNOWN) == found


@pytest.mark.parametrize(
    ("said", "param"),
    [(5, "at.said"), ({}, "at.said"), (["Hi"], "at.said.0"), ([{}], "at.said.0.type"), ([{"type": "video"}], "at.said.0.type"),
     ([{"type": "mark"}, {"type": "text"}], "at.said.1.text")],
)  # fmt: skip
def test_refused(said, param):
    with pytest.raises(BadRequest) as refusal:
        content({"said": said}, "said", "at.", KNOWN)
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("url", "found"),
    [("data:image/png;base64,iVBO", Image("iVBO", "image/png", detail="low")),
     ("https://example.com/a.png", Image(url="https://example.com/a.png", detail="low"))],
)  # fmt: skip
def test_picture(url, found):
    image = picture(url, "messages.0.content.1.", "low")
    assert (image, image.at) == (found, "messages.0.content.1")
