"""The list of all runs: searched, sorted, paged, selected; what can be done with one, two or several of them."""
