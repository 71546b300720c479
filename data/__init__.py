"""The ground floor: survey formats, taxonomy, annotations, tags, the store, settings and the sample."""
