/**
 * The IANA special-purpose address registries (IPv4: RFC 6890 and updates, as of October 2025; IPv6 likewise), and what other
 * registries set apart: multicast and site-local. Written down by hand, so that a slip in the product is not copied here.
 */
export interface SpecialPurpose {
  readonly range: string
  readonly first: string
  readonly last: string
  readonly what: string
  readonly rfc: number
}

const rows = (text: string): readonly SpecialPurpose[] =>
  text
    .trim()
    .split('\n')
    .map((line) => {
      const [range = '', first = '', last = '', rfc = '', ...what] = line.trim().split(/ +/)
      return { range, first, last, what: what.join(' '), rfc: Number(rfc) }
    })

export const IPV4_SPECIAL = rows(`
  0.0.0.0/8          0.0.0.0         0.255.255.255    791  this network
  0.0.0.0/32         0.0.0.0         0.0.0.0          1122 this host on this network
  10.0.0.0/8         10.0.0.0        10.255.255.255   1918 private use
  100.64.0.0/10      100.64.0.0      100.127.255.255  6598 shared address space
  127.0.0.0/8        127.0.0.0       127.255.255.255  1122 loopback
  169.254.0.0/16     169.254.0.0     169.254.255.255  3927 link local
  172.16.0.0/12      172.16.0.0      172.31.255.255   1918 private use
  192.0.0.0/24       192.0.0.0       192.0.0.255      6890 IETF protocol assignments
  192.0.0.0/29       192.0.0.0       192.0.0.7        7335 IPv4 service continuity prefix
  192.0.0.8/32       192.0.0.8       192.0.0.8        7600 IPv4 dummy address
  192.0.0.9/32       192.0.0.9       192.0.0.9        7723 port control protocol anycast
  192.0.0.10/32      192.0.0.10      192.0.0.10       8155 TURN anycast
  192.0.0.170/31     192.0.0.170     192.0.0.171      8880 NAT64/DNS64 discovery
  192.0.2.0/24       192.0.2.0       192.0.2.255      5737 documentation (TEST-NET-1)
  192.31.196.0/24    192.31.196.0    192.31.196.255   7535 AS112-v4
  192.52.193.0/24    192.52.193.0    192.52.193.255   7450 AMT
  192.88.99.0/24     192.88.99.0     192.88.99.255    7526 deprecated (6to4 relay anycast)
  192.88.99.2/32     192.88.99.2     192.88.99.2      6751 6a44 relay anycast
  192.168.0.0/16     192.168.0.0     192.168.255.255  1918 private use
  192.175.48.0/24    192.175.48.0    192.175.48.255   7534 direct delegation AS112
  198.18.0.0/15      198.18.0.0      198.19.255.255   2544 benchmarking
  198.51.100.0/24    198.51.100.0    198.51.100.255   5737 documentation (TEST-NET-2)
  203.0.113.0/24     203.0.113.0     203.0.113.255    5737 documentation (TEST-NET-3)
  224.0.0.0/4        224.0.0.0       239.255.255.255  5771 multicast
  240.0.0.0/4        240.0.0.0       255.255.255.255  1112 reserved
  255.255.255.255/32 255.255.255.255 255.255.255.255  919  limited broadcast
`)

export const IPV6_SPECIAL = rows(`
  ::1/128            ::1             ::1                                      4291 loopback
  ::/128             ::              ::                                       4291 unspecified
  ::/96              ::              ::ffff:ffff                              4291 IPv4-compatible
  ::ffff:0:0:0/96    ::ffff:0:0:0    ::ffff:0:ffff:ffff                       2765 SIIT
  64:ff9b:1::/48     64:ff9b:1::     64:ff9b:1:ffff:ffff:ffff:ffff:ffff       8215 IPv4-IPv6 translation, local
  100::/64           100::           100::ffff:ffff:ffff:ffff                 6666 discard only
  100:0:0:1::/64     100:0:0:1::     100:0:0:1:ffff:ffff:ffff:ffff            9780 dummy prefix
  2001::/23          2001::          2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff   2928 IETF protocol assignments
  2001::/32          2001::          2001:0:ffff:ffff:ffff:ffff:ffff:ffff     4380 Teredo
  2001:1::1/128      2001:1::1       2001:1::1                                7723 port control protocol anycast
  2001:1::2/128      2001:1::2       2001:1::2                                8155 TURN anycast
  2001:1::3/128      2001:1::3       2001:1::3                                9665 DNS-SD service registration anycast
  2001:2::/48        2001:2::        2001:2:0:ffff:ffff:ffff:ffff:ffff        5180 benchmarking
  2001:3::/32        2001:3::        2001:3:ffff:ffff:ffff:ffff:ffff:ffff     7450 AMT
  2001:4:112::/48    2001:4:112::    2001:4:112:ffff:ffff:ffff:ffff:ffff      7535 AS112-v6
  2001:10::/28       2001:10::       2001:1f:ffff:ffff:ffff:ffff:ffff:ffff    4843 deprecated (ORCHID)
  2001:20::/28       2001:20::       2001:2f:ffff:ffff:ffff:ffff:ffff:ffff    7343 ORCHIDv2
  2001:30::/28       2001:30::       2001:3f:ffff:ffff:ffff:ffff:ffff:ffff    9374 drone remote ID
  2001:db8::/32      2001:db8::      2001:db8:ffff:ffff:ffff:ffff:ffff:ffff   3849 documentation
  2002::/16          2002::          2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff  3056 6to4
  2620:4f:8000::/48  2620:4f:8000::  2620:4f:8000:ffff:ffff:ffff:ffff:ffff    7534 direct delegation AS112
  3fff::/20          3fff::          3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff   9637 documentation
  5f00::/16          5f00::          5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff  9602 segment routing SIDs
  fc00::/7           fc00::          fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  4193 unique local
  fe80::/10          fe80::          febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff  4291 link local
  fec0::/10          fec0::          feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  3879 deprecated (site local)
  ff00::/8           ff00::          ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  4291 multicast
`)

/** Just outside a range of the tables, and of the internet. */
export const NEIGHBOURS: readonly string[] = Object.freeze([
  ...['1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'],
  ...['128.0.0.0', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0'],
  ...['191.255.255.255', '192.0.1.0', '192.0.1.255', '192.0.3.0', '192.31.195.255', '192.31.197.0'],
  ...['192.52.192.255', '192.52.194.0', '192.88.98.255', '192.88.100.0', '192.167.255.255'],
  ...['192.169.0.0', '192.175.47.255', '192.175.49.0', '198.17.255.255', '198.20.0.0'],
  ...['198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0', '223.255.255.255'],
  ...['2000::', '2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:200::'],
  ...['2001:db7:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db9::'],
  ...['2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2003::'],
  ...['2620:4f:7fff:ffff:ffff:ffff:ffff:ffff', '2620:4f:8001::'],
  ...['3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:1000::'],
])

/** IPv6 that IANA has given out to nobody, or took back. */
export const UNALLOCATED: readonly string[] = Object.freeze([
  ...['1::', '63:ffff::1', '64:ff9b:0:1::1', '64:ff9b:2::1', '65::1', '200::1', '400::1', '800::1'],
  ...['1000::1', '1fff:ffff::1', '4000::1', '5eff::1', '5f01::1', '6000::1', '8000::1', 'a000::1'],
  ...['c000::1', 'e000::1', 'f000::1', 'f800::1', 'fbff::1', 'fe00::1', 'fe7f::1'],
])

/** Every way in which an IPv6 address carries an IPv4 one. */
export const EMBEDDINGS: readonly {
  readonly form: string
  readonly rfc: number
  /** Opens the range of the form itself, so that only what it carries is judged. */
  readonly opened: readonly string[]
  embed(a: number, b: number, c: number, d: number): string
}[] = Object.freeze([
  {
    form: 'IPv4-mapped',
    rfc: 4291,
    opened: [],
    embed: (a, b, c, d) => `::ffff:${pair(a, b)}:${pair(c, d)}`,
  },
  {
    form: 'IPv4-compatible',
    rfc: 4291,
    opened: ['::/96'],
    embed: (a, b, c, d) => `::${pair(a, b)}:${pair(c, d)}`,
  },
  {
    form: 'SIIT',
    rfc: 2765,
    opened: ['::ffff:0:0:0/96'],
    embed: (a, b, c, d) => `::ffff:0:${pair(a, b)}:${pair(c, d)}`,
  },
  {
    form: 'NAT64, the well-known prefix',
    rfc: 6052,
    opened: [],
    embed: (a, b, c, d) => `64:ff9b::${pair(a, b)}:${pair(c, d)}`,
  },
  {
    form: 'NAT64, a local prefix of 96',
    rfc: 8215,
    opened: ['64:ff9b:1::/48'],
    embed: (a, b, c, d) => `64:ff9b:1:808:8:800:${pair(a, b)}:${pair(c, d)}`,
  },
  {
    form: 'NAT64, a local prefix of 48',
    rfc: 8215,
    opened: ['64:ff9b:1::/48'],
    embed: (a, b, c, d) => `64:ff9b:1:${pair(a, b)}:${pair(0, c)}:${pair(d, 0)}:808:808`,
  },
  {
    form: '6to4',
    rfc: 3056,
    opened: ['2002::/16'],
    embed: (a, b, c, d) => `2002:${pair(a, b)}:${pair(c, d)}::1`,
  },
  {
    form: 'Teredo, the server',
    rfc: 4380,
    opened: ['2001::/32'],
    embed: (a, b, c, d) => `2001:0:${pair(a, b)}:${pair(c, d)}:0:0:f7f7:f7f7`,
  },
  {
    form: 'Teredo, the client',
    rfc: 4380,
    opened: ['2001::/32'],
    embed: (a, b, c, d) => `2001:0:808:808:0:0:${pair(a ^ 255, b ^ 255)}:${pair(c ^ 255, d ^ 255)}`,
  },
  {
    form: 'ISATAP',
    rfc: 5214,
    opened: [],
    embed: (a, b, c, d) => `2606:4700:0:0:0:5efe:${pair(a, b)}:${pair(c, d)}`,
  },
  {
    form: 'ISATAP, universal',
    rfc: 5214,
    opened: [],
    embed: (a, b, c, d) => `2606:4700:0:0:200:5efe:${pair(a, b)}:${pair(c, d)}`,
  },
])

function pair(high: number, low: number): string {
  return (high * 256 + low).toString(16)
}
