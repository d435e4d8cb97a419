/** The DNS server as a process: `dns.ts PORT RECORDS`, with the records as JSON. */
import { linkToParent } from './child-link.ts'
import { createDnsServer } from './dns-server.ts'
import type { ZoneRecords } from './zone.ts'

const [port = '0', records = '{"addresses":{}}'] = process.argv.slice(2)
// from our own parent, which made it of this very type
const zone: ZoneRecords = JSON.parse(records)
const server = await createDnsServer({ port: Number(port), records: zone })
linkToParent({ stop: () => server.close() }).send({ kind: 'ready', port: server.port })
