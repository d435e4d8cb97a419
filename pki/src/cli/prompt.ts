/** Prompts for a secret: echoes nothing, not even its length. */
import { StringDecoder } from 'node:string_decoder'
import { MeshError } from '@clawmesh/proto'
import type { Terminal } from './terminal.ts'

/** @throws MeshError MESH_PKI_PASSPHRASE when the prompt is cancelled. */
export async function promptHidden(terminal: Terminal, question: string): Promise<string> {
  const { stdin } = terminal
  stdin.setRawMode(true)
  terminal.writeError(question)
  try {
    return await readLine(stdin)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    terminal.writeError('\n')
  }
}

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_U = '\u0015'

function readLine(stdin: NodeJS.ReadStream): Promise<string> {
  const decoder = new StringDecoder('utf8')
  return new Promise((resolve, reject) => {
    let line: string[] = []
    const finish = (settle: () => void, rest: string) => {
      stdin.off('data', onData).off('end', onEnd)
      // input after the end of the line is for the next prompt
      if (rest !== '') stdin.unshift(Buffer.from(rest, 'utf8'))
      settle()
    }
    const giveUp = () =>
      reject(new MeshError('MESH_PKI_PASSPHRASE', 'no passphrase was given', { hint: 'try again' }))
    const onData = (chunk: Buffer) => {
      const keys = [...decoder.write(chunk)]
      for (const [index, key] of keys.entries()) {
        const rest = keys.slice(index + 1).join('')
        if (key === '\r' || key === '\n') return finish(() => resolve(line.join('')), rest)
        if (key === CTRL_C || key === CTRL_D) return finish(giveUp, '')
        if (key === '\u007f' || key === '\b') line.pop()
        else if (key === CTRL_U) line = []
        else line.push(key)
      }
    }
    const onEnd = () => finish(giveUp, '')
    stdin.on('data', onData).once('end', onEnd)
    stdin.resume()
  })
}
