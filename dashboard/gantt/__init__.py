"""The Gantt: a run as columns, as bytes, as a plain figure, and live in the browser."""
