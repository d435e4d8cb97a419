/** All that is loaded with undici, and only when somebody fetches. */
export { fetch, Headers } from 'undici'
export { EgressDispatcher } from './egress-dispatcher.ts'
export { readFetchRequest } from './fetch-request.ts'
export { globalResponse } from './global-response.ts'
