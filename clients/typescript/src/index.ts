/** `@portcullis/client`: authenticated handshakes, typed refusals, resumable streams of agent events. */

export { Client } from './client.js';
export type { AskOptions, ClientEvents, ClientOptions, ConnectionState, TokenRequest, TransportName } from './client.js';
export { base64url, offer } from './codec.js';
export type { Clock, Environment, WebSocketFactory, WebSocketLike } from './environment.js';
export { freshId } from './environment.js';
export { catalogueRefusal, localRefusal, noticeRefusal, problemRefusal, RefusedError } from './errors.js';
export type { LocalReason, Refusal, RefusalSource } from './errors.js';
export type * from './events.gen.js';
export { History } from './history.js';
export type { EventPage, HistoryOptions, PageOptions, ThreadPage, ThreadSummary } from './history.js';
export { EVENT_TYPES, TERMINAL_TYPES } from './events.gen.js';
export { isReason, REASONS } from './reasons.gen.js';
export type { Reason, ReasonInfo, Retry } from './reasons.gen.js';
