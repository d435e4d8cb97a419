"""An agent in Python on plain grpcio: `serve DIR` or `call DIR GATEWAY NAME`, DIR as mesh-pki writes it.

Serves and calls test.v1.Kinds, all four kinds, messages as raw bytes. Nothing of Clawmesh in it.
"""
import sys
import time
from concurrent import futures
from pathlib import Path

import grpc

SERVICE = 'test.v1.Kinds'


def read(directory):
    path = Path(directory)
    return [(path / name).read_bytes() for name in ('ca.crt', 'tls.key', 'tls.crt')]


def caller_of(context):
    return dict(context.invocation_metadata()).get('x-mesh-caller', '').encode()


class Kinds(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            'Unary': grpc.unary_unary_rpc_method_handler(self.unary),
            'Server': grpc.unary_stream_rpc_method_handler(self.server),
            'Client': grpc.stream_unary_rpc_method_handler(self.client),
            'Both': grpc.stream_stream_rpc_method_handler(self.both),
        }.get(details.method.rsplit('/', 1)[1])

    def unary(self, request, context):
        if request == b'who':
            return caller_of(context)
        if request == b'think':
            time.sleep(6)
        if request == b'fail':
            context.set_trailing_metadata((('why-bin', b'\x00\x01'),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'not today: 100 % sure')
        return request

    def server(self, request, context):
        yield from [request] * 3

    def client(self, requests, context):
        return b''.join(requests)

    def both(self, requests, context):
        yield from requests


def serve(directory):
    ca, key, cert = read(directory)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Kinds(),))
    credentials = grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True)
    port = server.add_secure_port('127.0.0.1:0', credentials)
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


def call(directory, gateway, name):
    ca, key, cert = read(directory)
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    # the certificate of the gateway covers the names of the peers
    options = (('grpc.ssl_target_name_override', name), ('grpc.enable_http_proxy', 0))
    with grpc.secure_channel(gateway, credentials, options) as channel:
        method = f'/{SERVICE}/'
        unary = channel.unary_unary(method + 'Unary')
        assert unary(b'hello', timeout=10) == b'hello'
        print('who', unary(b'who', timeout=10).decode())
        # silent for longer than grpcio bears a PING each second
        assert unary(b'think', timeout=20) == b'think'
        assert list(channel.unary_stream(method + 'Server')(b'x', timeout=10)) == [b'x'] * 3
        assert channel.stream_unary(method + 'Client')(iter([b'a', b'b']), timeout=10) == b'ab'
        parts = [bytes([i]) * 100_000 for i in range(20)]
        assert list(channel.stream_stream(method + 'Both')(iter(parts), timeout=10)) == parts
        try:
            unary(b'fail', timeout=10)
        except grpc.RpcError as error:
            trailers = dict(error.trailing_metadata())
            print('fail', error.code().name, error.details(), trailers.get('why-bin'))
    print('done')


if __name__ == '__main__':
    {'serve': serve, 'call': call}[sys.argv[1]](*sys.argv[2:])
