"""Small PDFs, made by the format's own rules."""

from __future__ import annotations

import io

import pypdf


def pdf(*pages: str, filler: bytes = b"") -> bytes:
    """One page for each text, in Helvetica; `filler` is carried along as an unused stream."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n") if line)
        content = f"BT /F1 12 Tf 72 720 Td {lines}ET"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R "
                       "/Resources << /Font << /F1 3 0 R >> >> >>")  # fmt: skip
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    objects.append(f"<< /Length {len(filler)} >>\nstream\n{filler.decode('latin-1')}\nendstream")
    out, places = bytearray(b"%PDF-1.4\n"), []
    for n, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{n} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += "".join(f"{place:010d} 00000 n \n" for place in places).encode()
    return bytes(out + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())


def locked(data: bytes, password: str, algorithm: str = "RC4-128") -> bytes:
    """Encrypted; an empty password opens by itself."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt(user_password=password, owner_password="owner", algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def sealed(data: bytes) -> bytes:
    """Encrypted in a shop's own way."""
    done = locked(data, "").replace(b"/Filter /Standard", b"/Filter /AShop.DRM")
    assert b"AShop" in done
    return done
