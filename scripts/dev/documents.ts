/** The document server as a process: `documents.ts PORT FILE`. */
import { linkToParent } from './child-link.ts'
import { createDocumentServer } from './document-server.ts'

const [port = '0', file = ''] = process.argv.slice(2)
const server = await createDocumentServer({ port: Number(port), file })
linkToParent({ stop: () => server.close() }).send({ kind: 'ready', port: server.port })
