// A client in Go on plain grpc-go: DIR GATEWAY NAME, DIR as mesh-pki writes it. Calls test.v1.Kinds, all four kinds.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// raw leaves messages as they are.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func main() {
	dir, gateway, name := os.Args[1], os.Args[2], os.Args[3]
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	must(err)
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	encoding.RegisterCodec(raw{})
	conn, err := grpc.NewClient("passthrough:///"+gateway,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{certificate}, RootCAs: roots, ServerName: name,
		})), grpc.WithNoProxy())
	must(err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	unary := func(text string) (string, error) {
		in, out := []byte(text), []byte{}
		err := conn.Invoke(ctx, "/test.v1.Kinds/Unary", &in, &out)
		return string(out), err
	}
	echoed, err := unary("hello")
	must(err)
	who, err := unary("who")
	must(err)
	fmt.Println("unary", echoed, who)

	stream := func(method string, send [][]byte) [][]byte {
		desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
		call, err := conn.NewStream(ctx, desc, "/test.v1.Kinds/"+method)
		must(err)
		for _, message := range send {
			must(call.SendMsg(&message))
		}
		must(call.CloseSend())
		var got [][]byte
		for {
			var message []byte
			err := call.RecvMsg(&message)
			if err == io.EOF {
				return got
			}
			must(err)
			got = append(got, message)
		}
	}
	fmt.Println("server", len(stream("Server", [][]byte{[]byte("x")})))
	fmt.Println("client", string(stream("Client", [][]byte{[]byte("a"), []byte("b")})[0]))
	var parts [][]byte
	for i := range 20 {
		parts = append(parts, bytes.Repeat([]byte{byte(i)}, 100_000))
	}
	fmt.Println("both", bytes.Equal(bytes.Join(stream("Both", parts), nil), bytes.Join(parts, nil)))

	_, err = unary("fail")
	failed, _ := status.FromError(err)
	fmt.Println("fail", failed.Code(), failed.Message())
	fmt.Println("done")
}
