/**
 * The thread that parses policy files: parses and validates one at a time, and sends the document in pieces, each on
 * request. A file made to be slow takes time of this thread only.
 */
import { type MessagePort, parentPort } from 'node:worker_threads'
import { type Piece, piecesOf } from './document-pieces.ts'
import type { FromParser, ToParser } from './parser-messages.ts'
import { readPolicyFile } from './read-file.ts'

if (parentPort !== null) serve(parentPort)

function serve(port: MessagePort): void {
  const send = (message: FromParser) => port.postMessage(message)
  let pieces: Generator<Piece, void> | null = null
  port.on('message', (message: ToParser) => {
    if (message.kind === 'parse') {
      const reading = readPolicyFile(message.name, message.bytes)
      if (reading.kind === 'broken') return send({ kind: 'broken', faults: reading.faults })
      pieces = piecesOf(reading.document)
    }
    const next = pieces?.next()
    if (next === undefined || next.done === true) send({ kind: 'whole' })
    else send({ kind: 'piece', piece: next.value })
  })
  send({ kind: 'hello' })
}
