/** A page that is not there, or one that failed: what to do, instead of a white screen. */

import { Link, useRouteError } from "react-router";

import { ProblemNotice } from "./Bits";

export function Missing() {
  const error = useRouteError();
  return (
    <div className="content">
      <h1>{error === undefined ? "There is no such page" : "This page failed"}</h1>
      {error !== undefined && <ProblemNotice error={error} onRetry={() => location.reload()} />}
      <p><Link to="/">To the overview</Link></p>
    </div>
  );
}
