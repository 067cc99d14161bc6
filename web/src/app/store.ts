/** What the page as a whole is doing: loading, failed, signed out or signed in; and the steps between. */

import { signal } from '@preact/signals';
import { Client, type ConnectionState, freshId, History, localRefusal, type Refusal, RefusedError } from '@portcullis/client';
import { ChatModel } from '../chat/model.ts';
import { AuthApi, fetchConfig, type GatewayConfig, type Grant } from '../lib/api.ts';
import { Credentials, type User } from './credentials.ts';

export type Phase =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly refusal: Refusal }
  | { readonly kind: 'signed-out'; readonly refusal?: Refusal }
  | { readonly kind: 'signed-in'; readonly session: Session };

/** One user at this page. */
export interface Session {
  readonly user: User;
  readonly client: Client;
  readonly history: History;
  readonly credentials: Credentials;
}

/** The page is served by its gateway. */
const GATEWAY = location.origin;

export const phase = signal<Phase>({ kind: 'loading' });
export const connection = signal<ConnectionState>({ status: 'idle' });
/** True once the server runs another build than the one this page came from. */
export const stale = signal(false);
/** What was said on this page; it outlives a renewed sign-in of the same user, and nothing else. */
export const chat = signal(new ChatModel());
/** The thread on screen; none for a new one. */
export const openThread = signal<string | undefined>(undefined);

/** The user's earlier conversations: how far the list has been read. */
export type Earlier =
  | { readonly kind: 'unread' | 'reading' | 'whole' }
  | { readonly kind: 'more'; readonly cursor: string }
  | { readonly kind: 'failed'; readonly refusal: Refusal };
export const earlier = signal<Earlier>({ kind: 'unread' });

let config: GatewayConfig | undefined;
let lastUser: string | undefined;

/** Starts the page, or starts it again after a failure. */
export async function start(): Promise<void> {
  phase.value = { kind: 'loading' };
  const code = takeLinkCode();
  try {
    config = await loadConfig();
  } catch (error) {
    phase.value = { kind: 'failed', refusal: refusalOf(error) };
    return;
  }
  if (code === undefined) phase.value = { kind: 'signed-out' };
  else await enter((auth) => auth.link(code));
}

/** Signs in. A refusal is shown by the form. */
export function signIn(username: string, password: string): Promise<void> {
  return enter((auth) => auth.login(username, password));
}

/** Uses a token from elsewhere, for example from `portcullis token mint`. */
export function useToken(token: string): void {
  begin(Credentials.pasted(token.trim()), undefined);
}

/** Whether there is a place to sign in. */
export function canSignIn(): boolean {
  return authUrl() !== undefined;
}

export function signOut(): void {
  leave();
  chat.value = new ChatModel();
  openThread.value = undefined;
  lastUser = undefined;
  phase.value = { kind: 'signed-out' };
}

/** Back to the form because a new token is needed; what was said stays on the page for the same user. */
export function signInAgain(): void {
  leave();
  phase.value = { kind: 'signed-out' };
}

/** Shows a thread, or none for a new one. One that is only listed is heard from its beginning from here on. */
export function show(threadId: string | undefined): void {
  openThread.value = threadId;
  const thread = threadId === undefined ? undefined : chat.value.thread(threadId);
  if (thread === undefined || !thread.listed.peek() || phase.value.kind !== 'signed-in') return;
  thread.listed.value = false;
  phase.value.session.client.follow(thread.id);
}

/** Deletes a thread for good, here and on the server. */
export async function forget(threadId: string): Promise<void> {
  if (phase.value.kind !== 'signed-in') return;
  const { client, history } = phase.value.session;
  try {
    await history.forget(threadId);
  } catch (error) {
    const refusal = refusalOf(error);
    // Deleted elsewhere before, or never there: nothing is left to delete.
    if (refusal.reason !== 'NOT_FOUND') {
      const thread = chat.value.thread(threadId);
      if (thread !== undefined) thread.notice.value = `This conversation could not be deleted: ${refusal.title}.`;
      return;
    }
  }
  client.unfollow(threadId);
  chat.value.remove(threadId);
  if (openThread.value === threadId) openThread.value = undefined;
}

/** Reads the next page of the user's earlier conversations. */
export async function readEarlier(): Promise<void> {
  const now = phase.value;
  if (now.kind !== 'signed-in' || earlier.value.kind === 'reading') return;
  const { history } = now.session;
  const cursor = earlier.value.kind === 'more' ? earlier.value.cursor : undefined;
  earlier.value = { kind: 'reading' };
  let read: Earlier;
  try {
    const page = await history.threads(cursor === undefined ? {} : { cursor });
    // Another user may have signed in meanwhile.
    if (phase.value.kind !== 'signed-in' || phase.value.session.history !== history) return;
    chat.value.earlier(page.threads);
    read = page.next_cursor === undefined ? { kind: 'whole' } : { kind: 'more', cursor: page.next_cursor };
  } catch (error) {
    read = { kind: 'failed', refusal: refusalOf(error) };
  }
  earlier.value = read;
}

/** Asks in the open thread, or in a new one. */
export function ask(content: string): void {
  if (phase.value.kind !== 'signed-in') return;
  const threadId = openThread.value ?? freshId('thr');
  const id = freshId('msg');
  chat.value.asked(threadId, id, content);
  openThread.value = threadId;
  try {
    phase.value.session.client.ask(content, { threadId, id });
  } catch (error) {
    chat.value.refused(id, refusalOf(error));
  }
}

async function enter(grantOf: (auth: AuthApi) => Promise<Grant>): Promise<void> {
  const base = authUrl();
  try {
    if (base === undefined) throw new RefusedError(localRefusal('TOKEN_UNAVAILABLE', { title: 'There is no sign-in service here' }));
    const auth = new AuthApi(base, GATEWAY);
    const grant = await grantOf(auth);
    begin(Credentials.granted(auth, grant), { id: grant.user.id, name: grant.user.name ?? grant.user.id });
  } catch (error) {
    phase.value = { kind: 'signed-out', refusal: refusalOf(error) };
  }
}

function begin(credentials: Credentials, user: User | undefined): void {
  if (user !== undefined) belongTo(user.id);
  const build = ownBuild();
  const client = new Client({
    gateway: GATEWAY,
    token: (request) => credentials.token(request),
    ...(build !== undefined && { build }),
  });
  client.on('state', (state) => {
    connection.value = state;
    if (state.status !== 'live') return;
    belongTo(state.hello.user_id);
    name(client, state.hello.user_id);
    if (earlier.value.kind === 'unread' || earlier.value.kind === 'failed') void readEarlier();
    void checkBuild();
  });
  client.on('message', (message) => chat.value.receive(message));
  client.on('refused', ({ messageId, refusal }) => chat.value.refused(messageId, refusal));
  const history = new History({ gateway: GATEWAY, token: () => credentials.token({ purpose: 'connect' }) });
  earlier.value = { kind: 'unread' };
  phase.value = { kind: 'signed-in', session: { user: user ?? { id: '', name: 'Token' }, client, history, credentials } };
  client.connect();
}

/** Nothing of one user stays for the next. */
function belongTo(userId: string): void {
  if (lastUser !== undefined && lastUser !== userId) {
    chat.value = new ChatModel();
    openThread.value = undefined;
  }
  lastUser = userId;
}

/** A pasted token says who it speaks for only once the gateway has verified it. */
function name(client: Client, userId: string): void {
  const now = phase.value;
  if (now.kind !== 'signed-in' || now.session.client !== client || now.session.user.id !== '') return;
  phase.value = { kind: 'signed-in', session: { ...now.session, user: { id: userId, name: userId } } };
}

function leave(): void {
  if (phase.value.kind !== 'signed-in') return;
  const { client, credentials } = phase.value.session;
  client.close();
  void credentials.signOut();
}

async function checkBuild(): Promise<void> {
  // A gateway that was replaced while the page stayed open is met first at a reconnect.
  await loadConfig().then(
    (fresh) => {
      config = fresh;
    },
    () => undefined,
  );
}

async function loadConfig(): Promise<GatewayConfig> {
  const fresh = await fetchConfig(GATEWAY);
  const own = ownBuild();
  if (fresh.build != null && own !== undefined) stale.value = fresh.build !== own;
  return fresh;
}

function authUrl(): string | undefined {
  return config?.auth_url ?? undefined;
}

/** Takes the code of a one-time link out of the address at once, so that it stays in no history and no bookmark. */
function takeLinkCode(): string | undefined {
  const code = new URLSearchParams(location.hash.slice(1)).get('link') ?? undefined;
  if (code !== undefined) history.replaceState(null, '', location.pathname + location.search);
  return code;
}

function refusalOf(error: unknown): Refusal {
  return error instanceof RefusedError ? error.refusal : localRefusal('UNKNOWN');
}

/** What this page was built from; none under the development server. */
function ownBuild(): string | undefined {
  return document.querySelector<HTMLMetaElement>('meta[name="portcullis-build"]')?.content;
}
