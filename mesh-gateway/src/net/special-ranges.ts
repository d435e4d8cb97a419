/**
 * Addresses that are not the public internet: the IANA special-purpose registries for IPv4 and IPv6
 * (RFC 6890 and its updates), multicast, and the addresses at which clouds hand out credentials.
 */

/** Refused unless `allowCidrs` names them. */
export const SPECIAL_RANGES: readonly string[] = Object.freeze([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // ::/96 is unspecified, loopback and IPv4-compatible; ::ffff:0:0:0/96 is SIIT (RFC 2765)
  '::/96',
  '::ffff:0:0:0/96',
  '64:ff9b:1::/48',
  '100::/64',
  '100:0:0:1::/64',
  // IETF protocol assignments: Teredo, ORCHID, benchmarking and others
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
])

/** Refused unless `allowCidrs` names the exact address: allowing private ranges must not open them. */
export const METADATA_ADDRESSES: readonly string[] = Object.freeze([
  // AWS, Azure, GCP, OpenStack, DigitalOcean, Oracle
  '169.254.169.254/32',
  // Tencent, Scaleway
  '169.254.0.23/32',
  '169.254.42.42/32',
  // AWS: tasks, pods, DNS and time of the link
  '169.254.170.2/32',
  '169.254.170.23/32',
  '169.254.169.253/32',
  '169.254.169.123/32',
  'fd00:ec2::254/128',
  'fd00:ec2::23/128',
  'fd00:ec2::253/128',
  'fd00:ec2::123/128',
  // over IPv6: GCP, Oracle, Scaleway, Akamai, Alibaba, OpenStack
  'fd20:ce::254/128',
  'fd00:c1::a9fe:a9fe/128',
  'fd00:42::42/128',
  'fd00:a9fe:a9fe::1/128',
  'fd00:100::100:200/128',
  'fe80::a9fe:a9fe/128',
  // Alibaba, Oracle classic, Azure wire server
  '100.100.100.200/32',
  '192.0.0.192/32',
  '168.63.129.16/32',
])

/** Names at which clouds serve the same. */
const METADATA_NAMES: ReadonlySet<string> = Object.freeze(
  new Set([
    // several clouds, by search list
    'metadata',
    'metadata.internal',
    // GCP
    'metadata.google.internal',
    'metadata.google',
    'metadata.goog',
    // AWS and compatible clouds
    'instance-data',
    'instance-data.ec2.internal',
    // Azure
    'metadata.azure.internal',
    'metadata.azure.com',
    // Oracle, Tencent, IBM, Exoscale, Equinix
    'metadata.oraclecloud.com',
    'metadata.tencentyun.com',
    'api.metadata.cloud.ibm.com',
    'metadata.exoscale.com',
    'metadata.platformequinix.com',
    'metadata.packet.net',
    // Rancher, CloudStack
    'rancher-metadata',
    'rancher-metadata.rancher.internal',
    'data-server',
  ]),
)
/** AWS has one per region. */
const OF_A_REGION = /^instance-data\.[a-z0-9-]+\.compute\.internal$/

/** @param host canonical */
export function isMetadataName(host: string): boolean {
  return METADATA_NAMES.has(host) || OF_A_REGION.test(host)
}
