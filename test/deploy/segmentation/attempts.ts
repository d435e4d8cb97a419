/** What an agent tries on a gateway with two legs: each arrives without the rules, and none with them. */
import type { NamedAttempt } from './siege.ts'

const OUTSIDE = '192.0.2.2'
const OUTSIDE6 = '2001:db8::2'
const OTHER_OUTSIDE = '192.0.2.3'
const LEG = '10.77.0.1'

/** @param linkLocal the gateway's address on the link of the agents */
export function attemptsOfAgent(linkLocal: string): readonly NamedAttempt[] {
  return [
    { name: 'the outside by TCP', kind: 'tcp', to: OUTSIDE, port: 80 },
    { name: 'the outside by UDP', kind: 'udp', to: OUTSIDE, port: 53 },
    { name: 'the outside by ICMP', kind: 'icmp', to: OUTSIDE },
    { name: 'the outside by IPv6 and TCP', kind: 'tcp', to: OUTSIDE6, port: 80 },
    { name: 'the outside by IPv6 and UDP', kind: 'udp', to: OUTSIDE6, port: 53 },
    { name: 'the outside by ICMPv6', kind: 'icmp', to: OUTSIDE6 },
    { name: 'a second address outside', kind: 'tcp', to: OTHER_OUTSIDE, port: 80 },
    {
      ...{ name: 'the outside by GRE', kind: 'raw', protocol: 47 },
      ...{ from: '10.77.0.2', to: OUTSIDE, port: 0 },
    },
    { name: 'the outside by fragments', kind: 'fragments', to: OUTSIDE, port: 53 },
    { name: 'the outside by fragments of IPv6', kind: 'fragments', to: OUTSIDE6, port: 53 },
    {
      ...{ name: 'the outside by a source of its own network that is not its own', kind: 'raw' },
      ...{ from: '10.77.0.55', to: OUTSIDE, port: 53 },
    },
    {
      ...{ name: 'the outside by a forged source', kind: 'raw' },
      ...{ from: '198.51.100.9', to: OUTSIDE, port: 53 },
    },
    {
      ...{ name: 'the outside by a forged source of the outer network', kind: 'raw' },
      ...{ from: '192.0.2.9', to: OUTSIDE, port: 53 },
    },
    {
      ...{ name: 'the outside by a forged source of IPv6', kind: 'raw6' },
      ...{ from: '2001:db8:9::9', to: OUTSIDE6, port: 53 },
    },
    {
      ...{ name: 'the outside from a second address', kind: 'tcp' },
      ...{ from: '10.77.0.77', to: OUTSIDE, port: 80 },
    },
    {
      ...{ name: 'the outside from a second address of another network', kind: 'udp' },
      ...{ from: '10.88.0.2', to: OUTSIDE, port: 53 },
    },
    {
      ...{ name: 'the outside from a second address of IPv6', kind: 'udp' },
      ...{ from: 'fd77::77', to: OUTSIDE6, port: 53 },
    },
    { name: 'the outer address of the gateway', kind: 'tcp', to: '192.0.2.1', port: 9090 },
    { name: "the gateway's port at its outer address", kind: 'tcp', to: '192.0.2.1', port: 8080 },
    { name: 'the outer address of IPv6', kind: 'tcp', to: '2001:db8::1', port: 8080 },
    { name: 'another port of the gateway', kind: 'tcp', to: LEG, port: 9090 },
    { name: 'another port by a link-local address', kind: 'tcp', to: linkLocal, port: 9090 },
    { name: 'a resolver on the gateway', kind: 'udp', to: LEG, port: 53 },
    { name: 'a port of UDP by a broadcast', kind: 'udp', to: '10.77.0.255', port: 53 },
    {
      ...{ name: "the gateway's port by a forged source", kind: 'raw' },
      ...{ from: '192.0.2.9', to: LEG, port: 53 },
    },
  ]
}

/** The second fragment of a datagram with no first one: no port is to be seen in it. */
export const LONE_FRAGMENT: NamedAttempt = {
  ...{ name: 'the outside by a fragment that follows no other', kind: 'raw' },
  ...{ from: '10.77.0.2', to: OUTSIDE, port: 53, offset: 100 },
}

/** What an agent tries that runs as a user of the gateway's host. */
export const ATTEMPTS_OF_USER: readonly NamedAttempt[] = [
  { name: 'the outside by TCP', kind: 'tcp', to: OUTSIDE, port: 80 },
  { name: 'the outside by UDP', kind: 'udp', to: OUTSIDE, port: 53 },
  { name: 'the outside by ICMP', kind: 'icmp', to: OUTSIDE },
  { name: 'the outside by IPv6 and TCP', kind: 'tcp', to: OUTSIDE6, port: 80 },
  { name: 'the outside by IPv6 and UDP', kind: 'udp', to: OUTSIDE6, port: 53 },
  { name: 'the outside by ICMPv6', kind: 'icmp', to: OUTSIDE6 },
  { name: 'a second address outside', kind: 'tcp', to: OTHER_OUTSIDE, port: 80 },
  { name: 'the outside by fragments', kind: 'fragments', to: OUTSIDE, port: 53 },
  { name: 'the outside by fragments of IPv6', kind: 'fragments', to: OUTSIDE6, port: 53 },
  {
    ...{ name: 'the outside by a forged source', kind: 'raw' },
    ...{ from: '198.51.100.9', to: OUTSIDE, port: 53 },
  },
  {
    ...{ name: 'the outside by a forged source of IPv6', kind: 'raw6' },
    ...{ from: '2001:db8:9::9', to: OUTSIDE6, port: 53 },
  },
  {
    ...{ name: 'the outside by GRE', kind: 'raw', protocol: 47 },
    ...{ from: '192.0.2.1', to: OUTSIDE, port: 0 },
  },
  {
    ...{ name: 'the outside from a second address', kind: 'udp' },
    ...{ from: '192.0.2.77', to: OUTSIDE, port: 53 },
  },
  { name: 'the outer address of the host', kind: 'tcp', to: '192.0.2.1', port: 9090 },
  { name: "the gateway's port at its outer address", kind: 'tcp', to: '192.0.2.1', port: 8080 },
  { name: 'the outer address of IPv6', kind: 'tcp', to: '2001:db8::1', port: 8080 },
  { name: 'the admin port', kind: 'tcp', to: '127.0.0.1', port: 9090 },
  { name: 'the admin port by IPv6', kind: 'tcp', to: '::1', port: 9090 },
  { name: 'another agent', kind: 'tcp', to: '127.0.0.1', port: 7443 },
  { name: 'another agent by UDP', kind: 'udp', to: '127.0.0.1', port: 7443 },
  { name: 'the resolver of the host', kind: 'udp', to: '127.0.0.53', port: 53 },
]
