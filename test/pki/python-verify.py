"""Judges certificate chains with Python's cryptography, 45 or newer. Each argument is a directory with chain.pem (leaf
first) and roots.pem; each gets one line of output: "server: VERDICT; client: VERDICT", where a verdict is "accepted" or
the error. As a server it is asked for the first DNS name of the leaf.
"""

import pathlib
import sys

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store


def judge(verify):
    try:
        verify()
        return "accepted"
    except Exception as error:
        return str(error).replace("\n", " ")


for name in sys.argv[1:]:
    directory = pathlib.Path(name)
    leaf, *between = x509.load_pem_x509_certificates((directory / "chain.pem").read_bytes())
    roots = x509.load_pem_x509_certificates((directory / "roots.pem").read_bytes())
    policy = PolicyBuilder().store(Store(roots))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns_names = names.get_values_for_type(x509.DNSName)
    client = judge(lambda: policy.build_client_verifier().verify(leaf, between))
    server = (
        judge(lambda: policy.build_server_verifier(x509.DNSName(dns_names[0])).verify(leaf, between))
        if dns_names
        else "it has no DNS name"
    )
    print(f"server: {server}; client: {client}")
