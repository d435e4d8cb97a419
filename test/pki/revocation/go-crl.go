// Judges a revocation list with Go's crypto/x509. Reads {crl, issuer} as PEM on stdin, writes the serial numbers in
// it, each with its reason code. Run by lists-are-accepted-by-others.test.ts.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
)

func main() {
	var question struct{ Crl, Issuer string }
	if err := json.NewDecoder(os.Stdin).Decode(&question); err != nil {
		panic(err)
	}
	block, _ := pem.Decode([]byte(question.Crl))
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		panic(err)
	}
	block, _ = pem.Decode([]byte(question.Issuer))
	issuer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		panic(err)
	}
	found := []string{}
	for _, entry := range list.RevokedCertificateEntries {
		found = append(found, fmt.Sprintf("%x %d", entry.SerialNumber, entry.ReasonCode))
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
