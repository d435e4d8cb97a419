/** Makes worker processes, tells each with what to begin, and answers its questions about limits. */
import type { Log } from '@clawmesh/agent-sdk/mesh'
import type { TokenLink } from '@clawmesh/proto/pkcs11'
import type { LiveConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import { createLimitsServer } from '../limits/limits-server.ts'
import type { Counting } from '../limits/open-limits.ts'
import type { ListenAddress } from '../net/port.ts'
import type { WorkerHooks } from './keep-workers.ts'
import type { ToWorker } from './messages.ts'
import type { LinePasser } from './relay-lines.ts'
import { signFor } from './shared-token.ts'
import { forkWorker, type WorkerLink } from './worker-link.ts'

export interface ForkingOptions {
  readonly config: Config
  readonly live: Pick<LiveConfig, 'current'>
  /** Where the admin port listens. */
  readonly admin: ListenAddress
  /** The keys of TLS tickets, in base64. */
  readonly tickets: () => string
  readonly lines: LinePasser
  /** Of the signing keys; null where they are files. */
  readonly token: TokenLink | null
  readonly counting: Counting
  readonly log: Log
  /** @param names the gateway's own */
  readonly onReady: (names: readonly string[]) => void
  readonly onEnded: (link: WorkerLink) => void
  /** A worker has a message for all. */
  readonly tell: (message: ToWorker) => void
}

export function createForking(
  options: ForkingOptions,
): (index: number, hooks: WorkerHooks) => WorkerLink {
  const { config, live, admin, tickets, lines, counting, token, log } = options
  const { onReady, onEnded, tell } = options
  return (index, hooks) => {
    const answering = createLimitsServer(counting)
    const link = forkWorker((message) => {
      if (message.kind === 'hello')
        link.send({
          kind: 'begin',
          worker: index,
          config,
          live: live.current(),
          admin,
          tickets: tickets(),
          passedOn: lines.healthy(),
        })
      else if (message.kind === 'questions')
        void answering.answer(message.questions).then(
          (answers) => link.send({ kind: 'answers', answers }),
          // the worker gets no answer, and refuses
          (err: unknown) => log.error({ err, worker: index }, 'what a worker asked is no question'),
        )
      else if (message.kind === 'cancel') tell(message)
      else if (message.kind === 'sign')
        void signFor(token, message).then((signed) => link.send(signed))
      if (message.kind === 'ready') onReady(message.names)
      hooks.onMessage(message)
    }, hooks.others)
    if (link.stdout !== null) void lines.pass(link.stdout)
    void link.ended.then(() => {
      answering.release()
      onEnded(link)
    })
    return link
  }
}
