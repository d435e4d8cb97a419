"""Reads {"versions": [...], "documents": [...]} as JSON on stdin. Judges each document by the strict schemas of each
version of Kubernetes that kubernetes-validate carries, and prints the faults, a JSON list of texts."""

import json
import sys

import kubernetes_validate

asked = json.load(sys.stdin)
faults = []
for version in asked["versions"]:
    for document in asked["documents"]:
        name = f"{document['kind']} {document['metadata']['name']}"
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(each) for each in error.path)
            faults.append(f"{version}: {name}: {path}: {error.message}")
        except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.VersionNotSupportedError) as error:
            faults.append(f"{version}: {name}: no schema: {error.message}")
json.dump(faults, sys.stdout)
