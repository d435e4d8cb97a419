/** The messages between the gateway and its parsing thread. */
import type { Piece } from './document-pieces.ts'
import type { PolicyFault } from './fault-shape.ts'

export type ToParser =
  | { readonly kind: 'parse'; readonly name: string; readonly bytes: Uint8Array }
  /** Requests the next piece of the document. */
  | { readonly kind: 'more' }

export type FromParser =
  /** It has started; the timeout of the first file begins. */
  | { readonly kind: 'hello' }
  | { readonly kind: 'broken'; readonly faults: readonly PolicyFault[] }
  | { readonly kind: 'piece'; readonly piece: Piece }
  | { readonly kind: 'whole' }
