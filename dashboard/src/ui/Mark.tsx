/** The mark. */

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0b5cad" />
      <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round">
        <path d="M5 11h9c4 0 4 5 8 5h5" /><path d="M5 16h7c4 0 4 5 8 5h7" opacity=".75" /><path d="M5 21h5c4 0 4 5 8 5" opacity=".5" />
      </g>
    </svg>
  );
}
