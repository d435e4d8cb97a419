// Judges certificate chains with Go's crypto/x509. Reads a JSON list of questions on stdin, writes a list of
// answers: "" for accepted, the error otherwise. Run by certificates-are-accepted-by-others.test.ts.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
)

type question struct {
	Chain   string `json:"chain"`
	Roots   string `json:"roots"`
	Name    string `json:"name"`
	Purpose string `json:"purpose"`
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		panic(err)
	}
	answers := []string{}
	for _, q := range questions {
		answers = append(answers, judge(q))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}

func judge(q question) string {
	block, rest := pem.Decode([]byte(q.Chain))
	if block == nil {
		return "no certificate"
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err.Error()
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(q.Roots))
	between.AppendCertsFromPEM(rest)
	usage := x509.ExtKeyUsageServerAuth
	if q.Purpose == "client" {
		usage = x509.ExtKeyUsageClientAuth
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		DNSName:       q.Name,
		Roots:         roots,
		Intermediates: between,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return err.Error()
	}
	return ""
}
