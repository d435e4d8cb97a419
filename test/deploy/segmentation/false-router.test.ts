/** An agent beside the gateway's container says that it is a router: it would get what the gateway sends by IPv6. */
import { strict as assert } from 'node:assert'
import { waitFor } from '../../support/wait-for.ts'
import { createNetworkNamespace, type NetworkNamespace } from './network-namespace.ts'
import { RULES, rulesOf, TOOLS } from './rules.ts'

/** RFC 4861, section 4.2: to all nodes of the link, good for half an hour. The kernel adds the checksum. */
const ADVERTISE = `
import socket, struct
sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
sock.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0))`
/** As the kernel has it in a container. */
const GATEWAY = `
  echo 1 >/proc/sys/net/ipv6/conf/agents0/accept_ra
  ip link set agents0 up
  ip -6 address add fd77::1/64 dev agents0 nodad`

for (const tool of TOOLS)
  describe(`a false router beside a container, by ${tool}`, () => {
    let gateway: NetworkNamespace
    let agent: NetworkNamespace
    before(async () => {
      ;[gateway, agent] = await Promise.all([createNetworkNamespace(), createNetworkNamespace()])
      await gateway.run(
        ...(['ip', 'link', 'add', 'agents0', 'type', 'veth'] as const),
        ...['peer', 'name', 'eth0', 'netns', String(agent.pid)],
      )
      await gateway.run('sh', '-ec', GATEWAY)
      await agent.run('ip', 'link', 'set', 'eth0', 'up')
      await waitFor('an address', async () =>
        /inet6 fe80(?!.*tentative)/.test(await agent.run('ip', '-6', 'address', 'show', 'eth0')),
      )
    })
    after(() => Promise.all([gateway?.close(), agent?.close()]))

    const routes = async () => (await gateway.run('ip', '-6', 'route', 'show', 'default')).trim()
    const dropped = async () =>
      tool === 'nftables'
        ? !/counter chatter \{\s*packets 0/.test(
            await gateway.run('nft', 'list', 'counters', 'table', 'inet', 'clawmesh'),
          )
        : /^ipv6 chatter [1-9]/m.test(await gateway.run(`${RULES}/iptables.sh`, 'counters'))

    it('gives the gateway no route', async () => {
      await agent.run('/usr/bin/python3', '-c', ADVERTISE)
      await waitFor('the route, without the rules', async () => (await routes()) !== '')
      await gateway.run('ip', '-6', 'route', 'del', 'default')
      await rulesOf(tool, { space: gateway, name: 'container' }).load()
      await agent.run('/usr/bin/python3', '-c', ADVERTISE)
      await waitFor('its end', async () => (await routes()) !== '' || (await dropped()))
      assert.equal(await routes(), '')
    })
  })
