/** Something of the API that a page shows, read again by itself. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Api, Problem } from "./api.ts";
import { useConsole } from "./console.ts";
import type { ShownOverlay } from "./shapes.ts";

export interface Resource<T> {
  readonly data: T | undefined;
  readonly problem: Problem | undefined;
  readonly reload: () => void;
}

export interface ResourceOptions {
  /** Read anew after so long (ms); never while nobody looks. */
  readonly every?: number;
  /** Read anew when something happened. */
  readonly follow?: boolean;
}

/** A read takes at most this part of the time. */
const MOST_WORK = 5;

/** Something of the API, by its path. @param path undefined: nothing yet */
export function useResource<T>(path: string | undefined, options: ResourceOptions = {}): Resource<T> {
  return useReading<T>(path, (api, signal) => api.get<T>(path!, signal), options);
}

/** Pages of one list: more of them are somebody's mistake. */
const MOST_PAGES = 20;
const FOLLOW = { follow: true };

/** All that lies over the base. */
export function useOverlays(options: ResourceOptions = FOLLOW): Resource<readonly ShownOverlay[]> {
  return useList("overlays", options);
}

/** All of a list, page by page; its field in the answer has the name of its path. */
export function useList<T>(name: string, options: ResourceOptions = FOLLOW): Resource<readonly T[]> {
  return useReading<readonly T[]>(name, (api, signal) => allOf<T>(name, api, signal), options);
}

async function allOf<T>(name: string, api: Api, signal: AbortSignal): Promise<readonly T[]> {
  const all: T[] = [];
  let query = "";
  for (let page = 0; page < MOST_PAGES; page++) {
    const answer = await api.get<Record<string, unknown>>(`/v1/${name}${query}`, signal);
    all.push(...(answer[name] as T[]));
    const next = answer.next as string | null;
    if (next === null) break;
    query = `?after=${encodeURIComponent(next)}`;
  }
  return all;
}

type Read<T> = (api: Api, signal: AbortSignal) => Promise<T>;

/** What was read last stays when it cannot be read anew. @param path says what is read; undefined: nothing yet */
function useReading<T>(path: string | undefined, get: Read<T>, options: ResourceOptions): Resource<T> {
  const { api, operations, session, ambient } = useConsole();
  const { every, follow = false } = options;
  const [state, setState] = useState<{ path?: string; data?: T; problem?: Problem }>({});
  const load = useRef<() => void>(() => {});
  useEffect(() => {
    if (path === undefined) return;
    const abort = new AbortController();
    let timer: number | undefined;
    let [reading, again] = [false, false];
    const read = async (): Promise<void> => {
      if (reading) {
        again = true;
        return;
      }
      reading = true;
      window.clearTimeout(timer);
      const began = ambient.now();
      try {
        const data = await get(api, abort.signal);
        if (!abort.signal.aborted) setState({ path, data });
      } catch (error) {
        if (abort.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, "unknown", String(error));
        setState((before) => ({ ...(before.path === path ? before : {}), path, problem }));
      }
      reading = false;
      if (abort.signal.aborted) return;
      if (again) {
        again = false;
        void read();
        return;
      }
      if (every === undefined) return;
      const pause = Math.max(every, (ambient.now() - began) * MOST_WORK);
      timer = window.setTimeout(() => void tick(), pause);
    };
    const tick = (): void => {
      if (document.visibilityState === "visible" && session.value.state === "on") void read();
      else timer = window.setTimeout(tick, every);
    };
    load.current = () => void read();
    void read();
    const stops = [
      session.listen(() => {
        if (session.value.state === "on") void read();
      }),
      ...(follow ? [operations.version.listen(() => void read())] : []),
    ];
    return () => {
      abort.abort();
      window.clearTimeout(timer);
      for (const stop of stops) stop();
    };
  }, [path, every, follow]);
  const isOwn = state.path === path;
  return {
    data: isOwn ? state.data : undefined,
    problem: isOwn ? state.problem : undefined,
    reload: () => load.current(),
  };
}
