/** Loads undici with the first fetch, and not before. */
export { fetch, Headers } from 'undici'
export { EgressDispatcher } from './egress-dispatcher.ts'
export { readFetchRequest } from './fetch-request.ts'
export { globalResponse } from './global-response.ts'
