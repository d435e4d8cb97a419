/** Every way out of the container of the agent that is tried. Engines differ in which of them they close by themselves. */
import { BRIDGE, GATEWAY, OUTSIDE, type Stack } from './stack.ts'

/** What an attacker in the container of the agent tries, by name. */
export async function attacksOn(stack: Stack, outsider: string) {
  const outer = await stack.address(await stack.id('gateway'), 'outside')
  const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port })
  const udp = (host: string) => ({ kind: 'udp', host, port: 53 })
  return {
    'a container outside': tcp(outsider, 8000),
    'a machine outside': tcp(OUTSIDE, 80),
    'the outer address of the gateway': tcp(outer, 8080),
    'its delegation port there': tcp(outer, 8443),
    'the admin port': tcp(GATEWAY, 9090),
    'the metadata address': tcp('169.254.169.254', 80),
    'the machine by the address of the bridge': tcp(BRIDGE, 9999),
    'the machine by the other bridge': tcp(outer.replace(/\d+$/, '1'), 9999),
    'the engine of the machine': tcp(BRIDGE, 2375),
    'IPv6, global': tcp('2001:db8::1', 80),
    'IPv6, mapped': tcp(`::ffff:${OUTSIDE}`, 80),
    'IPv6, link-local': tcp('fe80::1', 80),
    'DNS of a machine outside': udp(OUTSIDE),
    'DNS of the machine, by the bridge': udp(BRIDGE),
    'DNS, by what the container has': { kind: 'dns', name: 'leak-1.test' },
    'DNS, asked at the engine': { kind: 'dns', name: 'leak-2.test', server: '127.0.0.11' },
    'DNS, asked at the bridge': { kind: 'dns', name: 'leak-3.test', server: BRIDGE },
    'DNS, asked at the gateway': { kind: 'dns', name: 'leak-4.test', server: GATEWAY },
  }
}
