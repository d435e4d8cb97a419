/** What the gateway and its thread that parses policy tell each other. */
import type { Piece } from './document-pieces.ts'
import type { PolicyFault } from './fault.ts'

export type ToParser =
  | { readonly kind: 'parse'; readonly name: string; readonly bytes: Uint8Array }
  /** The next piece of the document. */
  | { readonly kind: 'more' }

export type FromParser =
  /** It has started, and its time for the first file begins. */
  | { readonly kind: 'hello' }
  | { readonly kind: 'broken'; readonly faults: readonly PolicyFault[] }
  | { readonly kind: 'piece'; readonly piece: Piece }
  | { readonly kind: 'whole' }
